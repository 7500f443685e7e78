package cli_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"ducklens/cli"
)

// pngOf draws a white picture with some pixels of a grey level.
func pngOf(t *testing.T, width int, level uint8, at ...image.Point) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, width, 20))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for _, p := range at {
		m.SetGray(p.X, p.Y, color.Gray{level})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestComparePNG(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		before, after []byte
		want          string // "" for the same
	}{
		{"same", pngOf(t, 30, 0, image.Pt(3, 4)), pngOf(t, 30, 0, image.Pt(3, 4)), ""},
		{"rounded", pngOf(t, 30, 255), pngOf(t, 30, 253, image.Pt(3, 4)), ""},
		{"two pixels", pngOf(t, 30, 0, image.Pt(3, 4)), pngOf(t, 30, 0, image.Pt(10, 15)), "2 of 600 pixels differ, between (3, 4) and (10, 15)"},
		{"wider", pngOf(t, 30, 0), pngOf(t, 32, 0), "32 x 20 pixels, was 30 x 20; 40 of 640 pixels differ, between (30, 0) and (31, 19)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			change, err := cli.ComparePNG(c.before, c.after)
			if err != nil || change != c.want {
				t.Errorf("change %q, error %v, want %q", change, err, c.want)
			}
		})
	}
	if _, err := cli.ComparePNG([]byte("no picture"), pngOf(t, 30, 0)); err == nil {
		t.Error("text was compared with a picture")
	}
}
