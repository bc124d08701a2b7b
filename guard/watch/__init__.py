"""The live page: several feeds go through the guard, and a browser on this machine shows what came of it.

=============  ==========================================================
`choosing`     what is watched, and which calls are tried
`feeds`        the frames of each feed, read in a thread of its own
`analysing`    a frame through the guard: the hook, the calls, the picture
`covering`     the small picture of a frame, faces covered
`board`        what is known now, and the decisions of late
`access`       who may read the page
`app`          the page itself, over HTTP
`serving`      all of it, until it is told to stop
=============  ==========================================================
"""
