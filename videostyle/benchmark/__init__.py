"""How fast this machine paints: every engine, precision and device, each in a process of its own.

``bench`` goes through them for ``videostyle bench``; ``worker`` and ``serve`` are the two sides of a process that
measures, which the project's own benchmarks use too; ``rates`` and ``work`` say how far from the machine's limit it is.
"""
