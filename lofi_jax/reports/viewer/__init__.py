"""The viewer: videos beside their timelines, in plain HTML, CSS and JavaScript."""
