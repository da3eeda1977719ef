"""The audit trail: every record of every topic, one row each, in ClickHouse (a server, or chDB in this process).

``tables`` declares the columns, ``rows`` turns a record into a row, ``writer`` inserts rows exactly once, ``queries``
reads them back; ``store`` is the narrow door to the database that the others share.
"""
