"""The words of a text in any script, for metrics that compare texts by words."""

import re
import unicodedata

from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

# Thai and Lao, Burmese, Khmer, kana, Han: these scripts put no spaces between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class Words(Tokenizer):
    """Runs of letters, marks and digits in lower case; single characters where a script has no spaces.

    ASCII words are tokenised and stemmed as rouge-score does.
    """

    def __init__(self) -> None:
        self._ascii = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, in their order."""
        found: list[str] = []
        for word in words(text):
            found += self._ascii.tokenize(word) if word.isascii() else [word]
        return found


def words(text: str) -> list[str]:
    """The words of a text in lower case, without the characters between them."""
    found: list[str] = []
    going = False
    for letter in unicodedata.normalize("NFC", text.lower()):
        kind = unicodedata.category(letter)
        if kind == "Cf":  # joiners within words of Hindi or Persian
            continue
        if kind[0] == "M" and found and going:
            found[-1] += letter
        elif kind[0] in "LN":
            alone = _UNSPACED.match(letter) is not None
            if going and not alone and not _UNSPACED.match(found[-1]):
                found[-1] += letter
            else:
                found.append(letter)
            going = True
        else:
            going = False
    return found
