"""Quotes in and marks out of the price guard, and marks back into it when an oracle resumes."""

from __future__ import annotations

from engine.oracle import GuardedPrice, Quote
from schemas.events.prices import MarkV1, PriceV1, VolatilityNodeV1
from streams.translate.amounts import e8_text, e12_text, float_text, to_e8, to_e12
from streams.translate.events import to_volatility


def to_quote(record: PriceV1) -> Quote:
    """A source's quote as the guard takes it."""
    return Quote(
        feed=record.feed,
        source=record.source,
        price_e8=to_e8(record.price, "price"),
        confidence_e8=to_e8(record.confidence, "confidence"),
        volatility=to_volatility(record.volatility),
        funding_rate_e12=to_e12(record.funding_rate, "funding_rate"),
        source_time_us=record.source_time_us,
    )


def to_guarded_price(record: MarkV1) -> GuardedPrice:
    """A published mark, to resume its feed from."""
    return GuardedPrice(
        feed=record.feed,
        price_e8=to_e8(record.price, "price"),
        confidence_e8=to_e8(record.confidence, "confidence"),
        volatility=to_volatility(record.volatility),
        funding_rate_e12=to_e12(record.funding_rate, "funding_rate"),
        funding_index_linear_e12=to_e12(record.funding_index_linear, "funding_index_linear"),
        funding_index_inverse_e12=to_e12(record.funding_index_inverse, "funding_index_inverse"),
        mark_time_us=record.mark_time_us,
        sources=record.sources,
    )


def to_mark_record(price: GuardedPrice) -> MarkV1:
    """A guarded price as a record of topic ``marks``."""
    return MarkV1(
        v=1,
        feed=price.feed,
        price=e8_text(price.price_e8),
        confidence=e8_text(price.confidence_e8),
        volatility=tuple(
            VolatilityNodeV1(
                tenor_days=float_text(node.tenor_days),
                log_moneyness=float_text(node.log_moneyness),
                volatility=float_text(node.volatility),
            )
            for node in price.volatility
        ),
        funding_rate=e12_text(price.funding_rate_e12),
        funding_index_linear=e12_text(price.funding_index_linear_e12),
        funding_index_inverse=e12_text(price.funding_index_inverse_e12),
        mark_time_us=price.mark_time_us,
        sources=price.sources,
    )
