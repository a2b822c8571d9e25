"""`python -m bench.compare.programs REQUEST`: run one program once."""

import json
import sys

from bench.compare.programs.protocol import Request, serve

if __name__ == "__main__":
    serve(Request(**json.loads(sys.argv[1])))
