package checkpoint

// WidenHalf and ParseSafetensors are tested on their own.
var WidenHalf = widenHalf

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

// ViewOf makes a view of bytes.
func ViewOf(dtype DType, data []byte) View {
	return View{Name: "x", DType: dtype, Shape: []int{len(data) / int(dtype.size())}, data: data}
}
