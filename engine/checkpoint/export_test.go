package checkpoint

import "ducklens/engine/checkpoint/gguf"

// ParseSafetensors gives the names that a file holds and the bytes that they take.
func ParseSafetensors(file []byte) (names []string, bytes int, err error) {
	entries, data, err := parseSafetensors(file)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		names = append(names, e.name)
		bytes += len(data[e.begin:e.end])
	}
	return names, bytes, nil
}

// ViewOf makes a view of bytes: a row of numbers.
func ViewOf(dtype DType, data []byte) View {
	elements, size := 1, int(dtype.size())
	if t, ok := gguf.Blocks(string(dtype)); ok {
		elements, size = t.Block()
	}
	return View{Name: "x", DType: dtype, Shape: []int{len(data) / size * elements}, data: data}
}
