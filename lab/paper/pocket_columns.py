"""The columns of the pocket world's table, by what they hold. All are in percent."""

COLUMNS = {
    "similarity": "face similarity",
    "no_face": "no face found",
    "scene": "scene accuracy",
    "diversity": "scene diversity",
    "fidelity": "prompt fidelity",
    "background": "background distance",
}
SWAPPED_IN = "swapped_in"  # the fusion's similarity to the person whose face was swapped in
