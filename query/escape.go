package query

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
)

// unicodeEscape reads the digits of a \u escape, and the second half of a
// surrogate pair when it follows. It returns how many bytes it used.
func unicodeEscape(s string) (r rune, used int, err error) {
	high, err := fourDigits(s)
	if err != nil {
		return 0, 0, err
	}
	if !utf16.IsSurrogate(high) {
		return high, 4, nil
	}
	if strings.HasPrefix(s[4:], `\u`) {
		if low, err := fourDigits(s[6:]); err == nil {
			if r := utf16.DecodeRune(high, low); r != '\uFFFD' {
				return r, 10, nil
			}
		}
	}
	return 0, 0, errors.New(`\u escape of half a character`)
}

func fourDigits(s string) (rune, error) {
	if len(s) < 4 {
		return 0, errors.New(`\u needs four hexadecimal digits`)
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	if err != nil {
		return 0, errors.New(`\u needs four hexadecimal digits`)
	}
	return rune(n), nil
}
