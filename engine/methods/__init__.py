"""Margin methods: named, versioned rule sets over shared primitives, applied to a stated portfolio.

A method's file (``schemas/methods``) names components and the formulas that combine them; a component is a primitive
of ``components`` that any method may name. ``requirement.pool_margin`` evaluates a method on a portfolio.
"""
