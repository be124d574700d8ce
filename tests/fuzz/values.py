"""Words of a command line: values of every type for a key of a configuration."""

from hypothesis import strategies as st

NUMBERS = (
    "0", "1", "2", "3", "-1", "-7", "100", "1000000", str(10**30), str(-(10**30)), "0.0", "-0.0",
    "0.5", "1.5", "-2.5", "nan", "inf", "-inf", "1e-320", "1e308", "-1e308", "1e400", "1e3", "1_0",
)  # fmt: skip
WORDS = (
    "null", "true", "false", "none", "yes", "x", "valid", "train", "small", "official", "oracle",
    "passthrough", "redo", "cuda", "cuda:99", "cpu", "meta", "mps", "Violin", "causal", "aug",
)  # fmt: skip
TEXTS = (
    "", " ", "a b", " a", "it's", '"', "ünï", "日本", "\t", "\n", "=", "a=b", "(", ")", "(a)", ",",
    "a,b", "[", "]", "{", "}", "~", "~x", "~/x", "$", "${", "${}", "\\", "\\\\", "-", "--x", "%s",
    "#", ":", "a: b", "@", "*", "?", ".", "\ud7ff", "\U0001f3bb", "x" * 300,
)  # fmt: skip
PATHS = (
    "missing", "missing/deep/er", "data", "data/metadata", "data/metadata/gains.json", "exp",
    "data/audio/duet/Cello.flac", "data/metadata/gains.json/below", "/proc/none", "exp/scores.csv",
    "/proc/self/fd/none", "net.safetensors", "pairs.csv",
)  # fmt: skip
STRUCTURES = (
    "[]", "[1]", "[a,1]", "[[1]]", "[null]", "[nan]", "[-1]", "[0,0]", "{}", "{a:1}", "{1:2}",
    "{a:{b:[1]}}", "[{}]", "[{name:oracle}]", "{name:oracle}", "[missing]", "[data]", "['']",
    "[0.0,1e300]", "{name:passthrough}", "[1,2,3,4,5,6]", "[true]", "[" + "[" * 30 + "]" * 31,
)  # fmt: skip
REFERENCES = (
    "???", "${split}", "${nothing}", "${path.root}", "${path}", "${nothing.below}",
    "${oc.env:NONE}", "${seed}", "${path.exp_folder}", "range(3)", "1,2", "choice(a,b)", "int(x)",
)  # fmt: skip

FORMS = ("{}={}", "{}={}", "~{0}", "+{0}.new={1}", "++{0}={1}", "+new_{0}={1}", "{0}", "~{0}={1}")
"""Of a word: key and value."""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# Without slashes, which could name a place outside of the folder; such paths are in PATHS.
_free_text = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=8)
_texts = st.sampled_from(TEXTS) | _free_text

VALUES: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    _texts,
    _texts.map(_quoted),
    st.sampled_from(PATHS),
    st.sampled_from(STRUCTURES),
    st.sampled_from(REFERENCES),
)


@st.composite
def overrides(draw: st.DrawFn, keys: list[str]) -> list[str]:
    """One word, seldom two, that set, delete or add a key."""
    words = []
    for _ in range(draw(st.sampled_from((1, 1, 1, 2)))):
        key = draw(st.sampled_from(keys))
        form = draw(st.just("{}={}") | st.sampled_from(FORMS))
        words.append(form.format(key, draw(VALUES)))
    return words


def key_of(word: str) -> str:
    """The key that a word of the command line is about."""
    return word.partition("=")[0].lstrip("+~")
