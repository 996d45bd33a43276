package frappetest

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MariaDB compares text by utf8mb4_unicode_ci: letters without regard to case
// and accents, punctuation before digits before letters, trailing blanks
// ignored. Names that differ only by case are therefore one name.

// asciiOrder lists ASCII in the order of that collation.
const asciiOrder = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"

var asciiWeight = func() (w [128]uint16) {
	for i := range w {
		if k := strings.IndexByte(asciiOrder, byte(i)); k >= 0 {
			w[i] = uint16(k + 1)
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		w[c] = w[c+'a'-'A']
	}
	return w
}()

// bases maps accented Latin letters to what the collation sees in them.
var bases = func() map[rune]string {
	m := map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ł': "l", 'ı': "i"}
	for base, accented := range map[string]string{
		"a": "àáâãäåāăą", "c": "çćĉċč", "d": "ď", "e": "èéêëēĕėęě", "g": "ĝğġģ", "h": "ĥ",
		"i": "ìíîïĩīĭį", "j": "ĵ", "k": "ķ", "l": "ĺļľ", "n": "ñńņň", "o": "òóôõöōŏő", "r": "ŕŗř",
		"s": "śŝşš", "t": "ţť", "u": "ùúûüũūŭůűų", "w": "ŵ", "y": "ýÿŷ", "z": "źżž",
	} {
		for _, r := range accented {
			m[r] = base
		}
	}
	return m
}()

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold brings text to the form in which equal texts are equal strings.
func fold(s string) string {
	s = strings.TrimRight(s, " ")
	plain := true
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	if ascii(s) {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for _, r := range s {
		r = unicode.ToLower(r)
		if base, ok := bases[r]; ok {
			b.WriteString(base)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// collate compares two texts in the order of the collation.
func collate(a, b string) int {
	if !ascii(a) || !ascii(b) {
		a, b = fold(a), fold(b)
		for a != "" && b != "" {
			ra, na := utf8.DecodeRuneInString(a)
			rb, nb := utf8.DecodeRuneInString(b)
			wa, wb := runeWeight(ra), runeWeight(rb)
			if wa != wb {
				return sign(wa - wb)
			}
			a, b = a[na:], b[nb:]
		}
		return sign(len(a) - len(b))
	}
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			if wa, wb := asciiWeight[a[i]], asciiWeight[b[i]]; wa != wb {
				return sign(int(wa) - int(wb))
			}
		}
	}
	if len(a) != len(b) {
		return sign(len(strings.TrimRight(a, " ")) - len(strings.TrimRight(b, " ")))
	}
	return 0
}

func runeWeight(r rune) int {
	if r < utf8.RuneSelf {
		return int(asciiWeight[r])
	}
	return 1000 + int(r)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
