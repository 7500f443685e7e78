package prompts

import (
	"io"
	"strings"
	"unicode/utf8"
)

// ReadNames reads a file of names, one a line, from which the names of W_U[random name] are drawn if the
// prompts come from a file; the generator uses the names of its template file. Space around a name and blank
// lines are ignored. A name that appears twice is drawn twice as often. As in a template file, the order
// affects the draws.
func ReadNames(path string) ([]string, error) {
	names, err := readNames(path)
	if err != nil {
		return nil, aboutFile("file of names", path, err)
	}
	return names, nil
}

func readNames(path string) ([]string, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := decode(f)
	if err != nil {
		return nil, err
	}
	var names []string
	size := 0
	for l := (lines{in: text}); ; {
		line, err := l.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if size += len(line) + 1; size > maxTemplateBytes {
			return nil, badFile("more than %d MiB, want a list of names", maxTemplateBytes>>20)
		}
		if at := notUTF8(line); at >= 0 {
			return nil, badByte(line[at]).where(l.at(line[:at]))
		}
		name := strings.TrimSpace(string(line))
		if at := strings.IndexFunc(name, notInName); at >= 0 {
			r, _ := utf8.DecodeRuneInString(name[at:])
			return nil, badFile("%s has %q in it, want one name a line and nothing else", clipped(name), r).
				where(l.at(nil))
		}
		if name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, badFile("it is empty, want one name a line")
	}
	return names, nil
}

// notInName reports characters that show that the file is a list in another format, which would be read as a
// single name.
func notInName(r rune) bool { return strings.ContainsRune(",;\t\"[]{}", r) || r < ' ' }
