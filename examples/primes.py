"""A flow whose map step burns processors: it counts primes, range by range, wherever `executor="dask"` leads."""

from __future__ import annotations

from pgflow import Flow

primes = Flow("primes", max_attempts=2, timeout=60)


@primes.step
def ranges(limit: int) -> list[tuple[int, int]]:
    """Cut the numbers below the limit into sixteen ranges."""
    size = -(-limit // 16)
    return [(start, min(start + size, limit)) for start in range(0, limit, size)]


@primes.map(over=ranges, executor="dask")
def count(bounds: tuple[int, int]) -> int:
    """Count the primes of one range."""
    return sum(is_prime(number) for number in range(*bounds))


@primes.step
def total(count: list[int]) -> int:
    """Add up what was counted."""
    return sum(count)


def is_prime(number: int) -> bool:
    """Whether a number is a prime, by trial division."""
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
