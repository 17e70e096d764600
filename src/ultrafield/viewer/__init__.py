"""Looking at a run in a browser: its tree browsed, segments selected by a click, corrected by hand and taken away.

What is shown and selected is plain state (`session`, `hierarchy`, `outline`, `picking`, `painting`); `window` and
`server` put it on a web page by viser.
"""
