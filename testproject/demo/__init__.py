"""`make demo`: the whole flow on one machine, every part a real process.

site.py       databases, admin user, first records
line.py       the line to AppSync that can be cut
processes.py  starting, watching and stopping
programs.py   which processes there are and how each proves that it answers
clients.py    a browser and a device, as the check needs them
story.py      `--check`: the story that must come true
"""
