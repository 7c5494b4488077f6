"""What a data set, a folder of one's own files or a run holds, what is doubtful, and with which commands to go on.

One command answers for all three. A run is told from its ``run.json``. What a reader opens is a data set: its splits
are described (`data_set.py`), of large ones by patches at even distances, and the command that trains on it is named.
Any other folder is surveyed (`survey.py`): the names below it are listed within bounds (`listing.py`); rasters are
put into families by their names (`families.py`), as ``mask/{scene}.tif`` is one; a few files of each are looked at by
windows (`probes.py`); the families that have scenes in common, and vector files and tables of points on their ground,
become a project, whose roles (images, classes, values) follow from values first and names second (`projects.py`); of
a project come the doubts and the exact `prepare` and `train` commands (`commands.py`). What opens a file of unknown
content is done by a child process (`guard.py`, `child.py`) with limits of time and memory, so that a file on which a
library crashes or hangs costs a line in the answer and not the answer. The child never sends anything but JSON back.
"""
