"""What ``hub plugin new`` writes: for each kind of plugin a whole distribution, as templates named ``*.tmpl``.

They are an ordinary plugin called ``parrot``; writing them replaces the name, so whatever works here works there.
"""
