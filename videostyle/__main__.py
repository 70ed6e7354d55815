"""``python -m videostyle`` is ``videostyle``."""

from videostyle.cli import main

main()
