package prompts

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// notText lists the first bytes of files that are not text.
var notText = []struct{ begins, is string }{
	{"PAR1", "it is a Parquet file by its content: give it a name that ends in .parquet"},
	{"\x1f\x8b", "it is compressed by gzip: unpack it first"},
	{"PK\x03\x04", "it is a zip archive or a workbook of a spreadsheet program: save it as CSV, UTF-8"},
	{"\xff\xfe\x00\x00", "it is UTF-32: save it as UTF-8"},
	{"\x00\x00\xfe\xff", "it is UTF-32: save it as UTF-8"},
}

// decode returns a text file as UTF-8 without a byte order mark. It recognises UTF-16 by its mark, or by the
// zero bytes of the first two characters.
func decode(file io.Reader) (*bufio.Reader, error) {
	const size = 64 << 10
	in := bufio.NewReaderSize(file, size)
	start, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, bare(err)
	}
	for _, f := range notText {
		if bytes.HasPrefix(start, []byte(f.begins)) {
			return nil, badFile("%s", f.is)
		}
	}
	zeros := [4]bool{}
	for i, b := range start {
		zeros[i] = b == 0
	}
	wide := func(order binary.ByteOrder) (*bufio.Reader, error) {
		return bufio.NewReaderSize(&utf16Reader{in: in, order: order}, size), nil
	}
	switch {
	case bytes.HasPrefix(start, []byte("\ufeff")):
		_, err := in.Discard(3)
		return in, err
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}):
		_, _ = in.Discard(2)
		return wide(binary.LittleEndian)
	case bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		_, _ = in.Discard(2)
		return wide(binary.BigEndian)
	case zeros == [4]bool{false, true, false, true}:
		return wide(binary.LittleEndian)
	case zeros == [4]bool{true, false, true, false}:
		return wide(binary.BigEndian)
	}
	return in, nil
}

// utf16Reader converts UTF-16 to UTF-8.
type utf16Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	rest  []byte // decoded, but not read yet
	block []byte
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	const most = 4096
	if len(u.rest) == 0 {
		u.block = u.block[:0]
		for len(u.block) < most {
			r, err := u.rune()
			if err != nil && len(u.block) == 0 {
				return 0, err
			}
			if err != nil {
				break // the next call returns this error again
			}
			u.block = utf8.AppendRune(u.block, r)
		}
		u.rest = u.block
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// rune reads one character. After an error nothing has been read.
func (u *utf16Reader) rune() (rune, error) {
	b, err := u.in.Peek(4)
	switch len(b) {
	case 0:
		return 0, err
	case 1:
		return 0, badFile("it is UTF-16 and ends within a character: it has been cut short")
	}
	first := rune(u.order.Uint16(b))
	if !utf16.IsSurrogate(first) {
		_, err := u.in.Discard(2)
		return first, err
	}
	if len(b) == 4 {
		if r := utf16.DecodeRune(first, rune(u.order.Uint16(b[2:]))); r != utf8.RuneError {
			_, err := u.in.Discard(4)
			return r, err
		}
	}
	return 0, badFile("it is UTF-16, and half of a surrogate pair stands alone in it: save it as UTF-8")
}

// lines reads the lines of a text without their ends, which may be \n, \r\n or \r.
type lines struct {
	in     *bufio.Reader
	number int    // number of the last line read, from 1
	of     string // what a line holds; "": a record
	buffer []byte
}

// next returns the next line, which is valid until the following call, or io.EOF.
func (l *lines) next() ([]byte, error) {
	l.buffer = l.buffer[:0]
	l.number++
	for {
		b, err := l.in.ReadByte()
		switch {
		case err == io.EOF && len(l.buffer) > 0:
			return l.buffer, nil
		case err != nil:
			return nil, placed(err, l.at(l.buffer))
		case b == '\r':
			if after, _ := l.in.Peek(1); len(after) == 1 && after[0] == '\n' {
				_, _ = l.in.Discard(1)
			}
			return l.buffer, nil
		case b == '\n':
			return l.buffer, nil
		case len(l.buffer) == maxRecord:
			return nil, badFile("longer than %d MiB, want one %s a line", maxRecord>>20,
				cmp.Or(l.of, "record")).where(l.at(nil))
		}
		l.buffer = append(l.buffer, b)
	}
}

// at returns the line last read and, unless before is nil, the column after before, counted in characters
// from 1.
func (l *lines) at(before []byte) string {
	if before == nil {
		return fmt.Sprintf("line %d", l.number)
	}
	return fmt.Sprintf("line %d, column %d", l.number, utf8.RuneCount(before)+1)
}

// notUTF8 returns the offset of the first byte that is not part of a UTF-8 character, or -1.
func notUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; ; {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
}

// badByte returns the error for a byte that is not part of a UTF-8 character.
func badByte(b byte) *fault {
	return badFile("the byte 0x%X is not UTF-8", b).
		advise("save the file as UTF-8; as it is, it may be Latin-1 or Windows-1252")
}
