"""Bitwuzla as a program: what yosys-smtbmc starts, for the wheel brings the library alone."""

import sys


def main() -> None:
    """Answer SMT-LIB commands from standard input, each as it is complete."""
    if "--help" in sys.argv:
        print("--lang")  # by which smtbmc tells its version
        return
    import bitwuzla

    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    if "--time-limit" in sys.argv:  # of an answer, in milliseconds
        limit = int(sys.argv[sys.argv.index("--time-limit") + 1])
        options.set(bitwuzla.Option.TIME_LIMIT_PER, limit)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    text, depth = "", 0
    for line in sys.stdin:
        code = line.partition(";")[0]
        if code.strip() == "(exit)":
            return
        text += code
        depth += code.count("(") - code.count(")")
        if depth == 0 and text.strip():
            parser.parse(text, parse_file=False)
            sys.stdout.flush()
            text = ""


if __name__ == "__main__":
    main()
