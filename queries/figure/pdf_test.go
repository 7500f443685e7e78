package figure_test

import (
	"bytes"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ducklens/queries/figure"
)

// Another program draws the PDF as we draw the PNG: the same colours in the same places, but for the edges of
// letters.
func TestPDFLooksLikePNG(t *testing.T) {
	if testing.Short() {
		t.Skip("runs another program")
	}
	tool, err := exec.LookPath("pdftoppm")
	if err != nil {
		t.Skip("pdftoppm (poppler-utils) is not installed")
	}
	for name, s := range map[string]sample{
		"heatmap": grid{heads: 4, stop: 3}.sample(), "histogram": substitutions(300, nil), "bar": pairs(10), "matrix": pairMap(4, 3, nil, nil),
		"line": curves([]string{"W_U[IO]", "9.9"}, 9),
	} {
		for _, o := range []figure.Options{{DPI: 96}, {DPI: 96, Width: 5, Theme: figure.Dark}} {
			f := made(t, s)
			var doc, picture bytes.Buffer
			if err := f.WritePDF(&doc, o); err != nil {
				t.Fatal(err)
			}
			if err := f.WritePNG(&picture, o); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "figure.pdf")
			if err := os.WriteFile(path, doc.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			var complaints bytes.Buffer
			cmd := exec.CommandContext(t.Context(), tool, "-png", "-r", "96", "-singlefile", path)
			cmd.Stderr = &complaints
			drawn, err := cmd.Output()
			if err != nil || complaints.Len() > 0 {
				t.Fatalf("%s: pdftoppm: %v\n%s", name, err, &complaints)
			}
			a, err := png.Decode(bytes.NewReader(drawn))
			if err != nil {
				t.Fatal(err)
			}
			b, err := png.Decode(&picture)
			if err != nil {
				t.Fatal(err)
			}
			// Means over blocks of 8 x 8 pixels, so that smoothing and a shift of a pixel do not count.
			const block = 8
			most := 0.0
			for y := 0; y+block <= min(a.Bounds().Dy(), b.Bounds().Dy()); y += block {
				for x := 0; x+block <= min(a.Bounds().Dx(), b.Bounds().Dx()); x += block {
					var sum [3]float64
					for i := range block * block {
						p := color.NRGBAModel.Convert(a.At(x+i%block, y+i/block)).(color.NRGBA)
						q := color.NRGBAModel.Convert(b.At(x+i%block, y+i/block)).(color.NRGBA)
						for k, d := range []int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B)} {
							sum[k] += float64(d) / block / block
						}
					}
					most = max(most, math.Abs(sum[0]), math.Abs(sum[1]), math.Abs(sum[2]))
				}
			}
			t.Logf("%s %v: a block differs by up to %.1f of 255", name, o.Theme, most)
			if d := a.Bounds().Dx() - b.Bounds().Dx(); d < -1 || d > 1 || most > 45 {
				t.Errorf("%s, %v: %v and %v pixels, blocks differ by up to %.0f of 255", name, o.Theme, a.Bounds().Size(), b.Bounds().Size(), most)
			}
		}
	}
}
