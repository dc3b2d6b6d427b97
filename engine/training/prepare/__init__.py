"""Folders of videos → clips to learn from, by the paper's filters (specification, D.1). ``run.prepare`` is the way in.

Each video goes through five steps; what a step found lies in OUT/work/VIDEO/ and is not made again after a break:

    shots     readable, long enough, with sound; cut at cuts and where the camera moves; one face (stage 1), two (2)
    people    every face followed from frame to frame: boxes, mouth opening, identity
    speech    voices freed of music and noise, where the network for that is on disk; who speaks when; where people
              speak at once is left out; pieces of about 2 s
    choose    pieces joined to clips of about N(4 s, 0.5 s); faces seen, in order, the same people; lips in time with
              the voice; voices and faces paired by the matrix of scores, whose largest must lie on the diagonal
    encode    frames brought to the wanted size, latents and audio features made once; caption

Then whole videos are packed into shards (see ``engine.training.shards``). OUT also holds prepare.json (the settings:
another run with others is refused) and dropped.jsonl: what was left out, where in which video, and why.
"""
