package figure_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

var update = flag.Bool("update", false, "write the golden figures in place of comparing with them")

// goldens are the figures that are compared, each with a size.
var goldens = []struct {
	name    string
	sample  sample
	options figure.Options
}{
	{"heatmap_screen", grid{heads: 12, stop: 10}.sample(), figure.Options{DPI: 100}},
	{"heatmap_column", grid{heads: 12, stop: 10}.sample(), figure.Options{Width: figure.ColumnWidth, DPI: 150}},
	{"heatmap_facets_frames", grid{heads: 4, stop: 3, facets: quadrants, frames: baselines[:2]}.sample(), figure.Options{Width: figure.PageWidth, DPI: 100}},
	{"heatmap_dark", grid{heads: 4, stop: 3}.sample(), figure.Options{Theme: figure.Dark, DPI: 100}},
	{"heatmap_32x32_column", biased.heatmap(9.3, nil, nil), figure.Options{Width: 3.3, DPI: 110}},
	{"heatmap_panel_scales", with(small.heatmap(5.3, quadrants[:2], nil), func(c *queries.Chart) { c.Scale, c.Hide = queries.ScalePanel, []string{"MLP0"} }),
		figure.Options{Width: figure.PageWidth, DPI: 90}},
	{"scatter_column", cloud(60), figure.Options{Width: figure.ColumnWidth, DPI: 130}},
	{"scatter_errors", ablations(14), figure.Options{Width: figure.PageWidth, DPI: 110}},
	{"histogram_column", substitutions(1200, nil), figure.Options{Width: figure.ColumnWidth, DPI: 150}},
	{"histogram_facets", substitutions(300, []string{"score at IO", "score at IO minus score at S1"}), figure.Options{Theme: figure.Screen, DPI: 72}},
	{"bar_column", pairs(40), figure.Options{Width: figure.ColumnWidth, DPI: 150}},
	{"bar_dark", pairs(10), figure.Options{Theme: figure.Dark, DPI: 72}},
	{"matrix_page", pairMap(12, 10, quadrants, nil), figure.Options{Width: figure.PageWidth, DPI: 110}},
	{"matrix_column", pairMap(4, 3, nil, nil), figure.Options{Width: figure.ColumnWidth, DPI: 150}},
	{"line_column", curves([]string{"W_U[IO]", "9.9", "MLP0", "rest"}, 12), figure.Options{Width: figure.ColumnWidth, DPI: 150}},
}

// picture is an image inside an SVG.
var picture = regexp.MustCompile(`data:image/png;base64,([^"]*)`)

// unpacked replaces the images of an SVG by the hash of their pixels, which does not depend on how they are
// compressed.
func unpacked(t *testing.T, svg []byte) []byte {
	t.Helper()
	return picture.ReplaceAllFunc(svg, func(uri []byte) []byte {
		data, err := base64.StdEncoding.DecodeString(string(picture.FindSubmatch(uri)[1]))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
				sum.Write([]byte{c.R, c.G, c.B, c.A})
			}
		}
		return fmt.Appendf(nil, "pixels:%v:%x", img.Bounds().Size(), sum.Sum(nil))
	})
}

// TestGoldenSVG compares text with text; a change is seen in the diff of the files.
func TestGoldenSVG(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the golden SVGs were made on amd64; other machines fuse multiplication and addition, which can move a coordinate by 0.01 pt")
	}
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			got := unpacked(t, svg(t, made(t, g.sample), g.options))
			want := golden(t, g.name+".svg", got)
			if bytes.Equal(got, want) {
				return
			}
			a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
			for i := range min(len(a), len(b)) {
				if !bytes.Equal(a[i], b[i]) {
					t.Fatalf("line %d: got\n%.300s\nwant\n%.300s\n(run with -update to accept)", i+1, a[i], b[i])
				}
			}
			t.Fatalf("%d lines, want %d (run with -update to accept)", len(a), len(b))
		})
	}
}

// TestGoldenPNG compares pixels. Where multiplication and addition are fused (arm64) the smoothed edge of a
// letter may differ by a step or two of 255.
func TestGoldenPNG(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := made(t, g.sample).WritePNG(&b, g.options); err != nil {
				t.Fatal(err)
			}
			want := golden(t, g.name+".png", b.Bytes())
			got, err := png.Decode(&b)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := png.Decode(bytes.NewReader(want))
			if err != nil {
				t.Fatal(err)
			}
			if n, most := difference(t, got, stored); most > 3 {
				t.Errorf("%d pixels differ from testdata/%s.png, by up to %d of 255 (run with -update to accept)", n, g.name, most)
			}
		})
	}
}

// difference counts the pixels that differ and gives the largest difference of a channel.
func difference(t *testing.T, a, b image.Image) (n, most int) {
	t.Helper()
	if a.Bounds() != b.Bounds() {
		t.Fatalf("the picture is %v, want %v (run with -update to accept)", a.Bounds(), b.Bounds())
	}
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			p, q := color.NRGBAModel.Convert(a.At(x, y)).(color.NRGBA), color.NRGBAModel.Convert(b.At(x, y)).(color.NRGBA)
			if p == q {
				continue
			}
			n++
			for _, d := range []int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B), int(p.A) - int(q.A)} {
				most = max(most, d, -d)
			}
		}
	}
	return n, most
}

// golden gives the stored file, which it writes first under -update.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// The same data give the same bytes, also when figures are drawn at the same time.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	samples := map[string]sample{
		"heatmap": grid{heads: 4, stop: 3, facets: quadrants, frames: baselines}.sample(), "histogram": substitutions(100, nil), "bar": pairs(20),
		"matrix": pairMap(4, 3, quadrants, nil), "line": curves([]string{"a", "b"}, 9), "scatter": cloud(30),
	}
	formats := map[string]func(*figure.Figure, io.Writer, figure.Options) error{
		"SVG": (*figure.Figure).WriteSVG, "PNG": (*figure.Figure).WritePNG, "PDF": (*figure.Figure).WritePDF,
	}
	for name, s := range samples {
		for format, write := range formats {
			draw := func() []byte {
				f, err := s.figure()
				if err != nil {
					t.Error(err)
					return nil
				}
				var b bytes.Buffer
				if err := write(f, &b, figure.Options{DPI: 60}); err != nil {
					t.Error(err)
				}
				return b.Bytes()
			}
			var (
				first = draw()
				more  [3][]byte
				wg    sync.WaitGroup
			)
			for i := range more {
				wg.Go(func() { more[i] = draw() })
			}
			wg.Wait()
			for _, m := range more {
				if !bytes.Equal(m, first) {
					t.Errorf("%s: two %ss of the same data differ", name, format)
				}
			}
		}
	}
}
