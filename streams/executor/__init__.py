"""The reference executor: takes liquidation commands, executes them on a simulated venue, answers every one.

``protocol`` is what any executor owes the risk workers and knows no venue; ``core`` brings it together with the
simulated venue (``depth``, ``legs``, ``auction``) and with faults to order (``faults``); ``service`` runs it on Kafka.
``docs/liquidation.md`` states the same rules for those who write their own.
"""

from streams.executor.core import ExecutorOptions, LiquidationExecutor
from streams.executor.history import MarketHistory
from streams.executor.protocol import FINAL_STATES
from streams.executor.service import ExecutorService

__all__ = ["FINAL_STATES", "ExecutorOptions", "ExecutorService", "LiquidationExecutor", "MarketHistory"]
