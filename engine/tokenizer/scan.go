package tokenizer

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON in one pass. A tokenizer.json contains half a million short strings; encoding/json takes
// 3 seconds for Gemma's 33 MB, and three times their memory. Small nodes still go through encoding/json, by
// [scanner.raw].
type scanner struct {
	text string
	at   int
}

func (s *scanner) fault(want string) error {
	found := "the end"
	if s.at < len(s.text) {
		found = strconv.Quote(s.text[s.at:min(s.at+20, len(s.text))])
	}
	return fault("byte %d: %s, want %s", s.at, found, want)
}

// next returns the first byte after white space, or 0 at the end.
func (s *scanner) next() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) error {
	if s.next() != c {
		return s.fault(strconv.Quote(string(c)))
	}
	s.at++
	return nil
}

// object calls member for each member, which must read its value.
func (s *scanner) object(member func(key string) error) error {
	return s.list('{', '}', func() error {
		key, err := s.string()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// array calls element for each element, which must read it.
func (s *scanner) array(element func() error) error { return s.list('[', ']', element) }

func (s *scanner) list(open, end byte, item func() error) error {
	if err := s.take(open); err != nil {
		return err
	}
	if s.next() == end {
		s.at++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case end:
			s.at++
			return nil
		default:
			return s.fault(`"," or ` + strconv.Quote(string(end)))
		}
	}
}

// string reads a string. If it has no escapes, the result is a part of the scanned text.
func (s *scanner) string() (string, error) {
	if err := s.take('"'); err != nil {
		return "", err
	}
	start := s.at
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return s.text[start:i], nil
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			s.at = i
			return "", s.fault("no control character in a text")
		}
	}
	return "", s.fault("a text with its end")
}

// escaped continues to read a string that began at start and has its first escape at i.
func (s *scanner) escaped(start, i int) (string, error) {
	for i < len(s.text) && s.text[i] != '"' {
		if s.text[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(s.text) {
		return "", s.fault("a text with its end")
	}
	var text string
	if err := json.Unmarshal([]byte(s.text[start-1:i+1]), &text); err != nil {
		return "", fault("byte %d: %w", start, err)
	}
	if strings.ContainsRune(text, utf8.RuneError) && halfPair(s.text[start:i]) {
		return "", fault("byte %d: %.80q has half of a surrogate pair", start, s.text[start:i])
	}
	s.at = i + 1
	return text, nil
}

// halfPair finds half of a surrogate pair in a string with escapes. encoding/json replaces every such half by
// U+FFFD, and two tokens would become one.
func halfPair(source string) bool {
	unit := func(at int) rune {
		if at+6 > len(source) || source[at:at+2] != `\u` {
			return -1
		}
		n, _ := strconv.ParseUint(source[at+2:at+6], 16, 16)
		return rune(n)
	}
	for i := 0; i < len(source); i++ {
		if source[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case !utf16.IsSurrogate(u):
			i++
		case utf16.DecodeRune(u, unit(i+6)) == utf8.RuneError:
			return true
		default:
			i += 11
		}
	}
	return false
}

// integer reads a whole number that is not negative.
func (s *scanner) integer() (int, error) {
	s.next()
	end := s.at
	for end < len(s.text) && s.text[end] >= '0' && s.text[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s.text[s.at:end])
	if err != nil || end < len(s.text) && strings.IndexByte(".eE", s.text[end]) >= 0 {
		return 0, s.fault("a whole number")
	}
	s.at = end
	return n, nil
}

// raw skips a value and returns its text. It checks brackets and strings; the caller checks the rest.
func (s *scanner) raw() (json.RawMessage, error) {
	s.next()
	start, depth := s.at, 0
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"':
			if _, err := s.string(); err != nil {
				return nil, err
			}
			if depth == 0 {
				return json.RawMessage(s.text[start:s.at]), nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				return s.plain(start)
			}
			if c != ',' {
				depth--
				if depth == 0 {
					s.at++
					return json.RawMessage(s.text[start:s.at]), nil
				}
			}
		}
		s.at++
	}
	if depth > 0 {
		return nil, s.fault("a closing bracket")
	}
	return s.plain(start)
}

// plain returns a number, true, false or null that ends at the current position.
func (s *scanner) plain(start int) (json.RawMessage, error) {
	if start == s.at {
		return nil, s.fault("a value")
	}
	return json.RawMessage(s.text[start:s.at]), nil
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.next() != 0 || s.at < len(s.text) {
		return s.fault("the end")
	}
	return nil
}
