"""Films painted offline: some frames by optimisation, the others carried from them along the motion.

``plan`` finds scenes and chooses keyframes, ``paint`` paints them so that neighbours agree, ``carry`` makes the frames
between, and ``work`` is the folder in which all of it survives an interruption. Ruder et al. 2016 and Jamriska et al.
2019 are the models. ``both_ways`` does the same in one go with keyframes that the net paints.
"""
