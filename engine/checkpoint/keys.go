package checkpoint

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"ducklens/engine/internal/jsonfault"
	"ducklens/internal/advice"
	"ducklens/internal/regular"
)

const maxConfigBytes = 1 << 20

// Keys is a configuration: the values of config.json by key, as they are written. If a key is repeated, the
// last value counts. Python's NaN, Infinity and -Infinity, which are not JSON, become the strings "NaN",
// "Infinity" and "-Infinity".
type Keys map[string]json.RawMessage

// ParseKeys parses the text of a config.json.
func ParseKeys(text []byte) (Keys, error) {
	if len(text) > maxConfigBytes {
		return nil,
			fault(ErrConfig, "%s has %d bytes, want at most %d", configFile, len(text), maxConfigBytes)
	}
	var keys Keys
	if err := json.Unmarshal(quoteNumbers(text), &keys); err != nil {
		return nil, fault(ErrConfig, "%s: %w", configFile, jsonfault.Explain(err))
	}
	if keys == nil {
		return nil, fault(ErrConfig, "%s is null, want an object", configFile)
	}
	return keys, nil
}

// quoteNumbers makes strings of the numbers that Python writes and JSON does not have. It leaves strings
// alone.
func quoteNumbers(text []byte) []byte {
	out := make([]byte, 0, len(text)+64)
	inText := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inText && c == '\\' && i+1 < len(text): // the next character does not end the string
			out = append(out, c)
			i++
		case c == '"':
			inText = !inText
		case !inText:
			if name := pythonNumber(text[i:]); name != "" {
				out = append(out, `"`+name+`"`...)
				i += len(name) - 1
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}

// pythonNumber returns the one of Python's numbers that text begins with, or "".
func pythonNumber(text []byte) string {
	for _, name := range []string{"NaN", "Infinity", "-Infinity"} {
		if len(text) >= len(name) && string(text[:len(name)]) == name {
			return name
		}
	}
	return ""
}

func readKeys(path string) (Keys, []byte, error) {
	f, err := regular.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, advice.Add(fault(ErrNoCheckpoint, "no %s", configFile),
			"point at a folder with config.json and model.safetensors, as the Hugging Face hub "+
				"has them, or at a .gguf file")
	}
	if err != nil {
		return nil, nil, fault(ErrConfig, "%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, nil, fault(ErrConfig, "%s: %w", configFile, err)
	}
	keys, err := ParseKeys(text)
	return keys, text, err
}
