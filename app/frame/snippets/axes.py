"""What the axes of a snippet's numbers are, so that a figure's own part can be taken."""

from analysis import definitions as d

AXES: dict[d.Definition, tuple[str, ...]] = {
    d.PATTERN: ("sequence", "layer", "head"),
    **dict.fromkeys(d.SCORES.values(), ("layer", "head")),
    d.COURSE_STRIPE: ("layer", "head"),
    d.DISTANCE_PROFILE: ("layer", "head"),
    d.RESTING: ("half", "layer", "head"),
    d.ATTRIBUTION: ("sequence", "dest"),
    d.SOURCE_ATTRIBUTION: ("sequence",),
    d.LENS: ("sequence",),
    d.ABLATION: ("layer", "head"),
    d.NEURON_ACTIVATION: ("sequence", "position", "neuron"),
    d.PATTERN_CHECK: ("sequence", "head"),
}
