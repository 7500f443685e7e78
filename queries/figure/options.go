package figure

import (
	"fmt"
	"io"
	"math"

	"gonum.org/v1/plot/vg"

	"ducklens/queries"
	"ducklens/queries/figure/internal/canvas"
)

// Widths of a figure in print, in inches: one column of a two-column page, and the whole page.
const (
	ColumnWidth = 3.25
	PageWidth   = 6.75
)

// Options say how large a figure is drawn. The zero value suits a screen.
type Options struct {
	// Width in inches, from 1 to 60; 0 is as wide as the panels need. The height follows.
	// Panels wrap so that the text in their cells stays readable.
	Width float64
	// DPI is the resolution of a PNG in dots per inch, from 36 to 2400; 0 is 200. Use 300 for print.
	DPI int
}

// defaultDPI makes a 14 x 12 heatmap about 1000 pixels wide.
const defaultDPI = 200

// maxPixels bounds the memory of a PNG, 4 bytes a pixel: a page of 11 x 17 inches at 600 dpi fits twice.
const maxPixels = 150_000_000

// Validate tells what is wrong with the options.
func (o Options) Validate() error {
	if o.Width != 0 && !(o.Width >= 1 && o.Width <= 60) { // not for NaN either
		return fmt.Errorf("figure: %w: width %g in, want 1 to 60, or 0 for what the panels need", ErrOptions, o.Width)
	}
	if o.DPI != 0 && (o.DPI < 36 || o.DPI > 2400) {
		return fmt.Errorf("figure: %w: %d dpi, want 36 to 2400, or 0 for %d", ErrOptions, o.DPI, defaultDPI)
	}
	return nil
}

// WriteSVG draws the figure as an SVG document. Text stays text; the font's glyphs are in the file.
func (f *Figure) WriteSVG(w io.Writer, o Options) error {
	l, err := f.layout(o)
	if err != nil {
		return err
	}
	c := canvas.NewSVG(l.w, l.h, f.meta())
	l.draw(c)
	if _, err := c.WriteTo(w); err != nil {
		return fmt.Errorf("figure of %s: writing SVG: %w", f.Name, err)
	}
	return nil
}

// WritePNG draws the figure as a PNG picture.
func (f *Figure) WritePNG(w io.Writer, o Options) error {
	l, err := f.layout(o)
	if err != nil {
		return err
	}
	dpi := o.DPI
	if dpi == 0 {
		dpi = defaultDPI
	}
	if pixels := math.Ceil(l.w.Dots(float64(dpi))) * math.Ceil(l.h.Dots(float64(dpi))); pixels > maxPixels {
		return fmt.Errorf("figure of %s: %w: %.0f million pixels (%.1f x %.1f in at %d dpi), want at most %d million",
			f.Name, ErrOptions, pixels/1e6, l.w/vg.Inch, l.h/vg.Inch, dpi, maxPixels/1_000_000)
	}
	c := canvas.NewPNG(l.w, l.h, dpi, f.meta())
	l.draw(c)
	if _, err := c.WriteTo(w); err != nil {
		return fmt.Errorf("figure of %s: writing PNG: %w", f.Name, err)
	}
	return nil
}

// layout arranges the figure once the options are known to be good.
func (f *Figure) layout(o Options) (*layout, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if len(f.Frames) == 0 || len(f.Frames[0].Panels) == 0 {
		return nil, &Error{Query: f.Name, Err: ErrEmpty, Detail: "the figure has no panels"}
	}
	if f.Mark != queries.Heatmap {
		return nil, &Error{Query: f.Name, Err: ErrMark, Detail: fmt.Sprintf("chart %s is not printed", f.Mark)}
	}
	return newLayout(f, vg.Length(o.Width)*vg.Inch), nil
}

// meta is what the file says about the figure.
func (f *Figure) meta() canvas.Meta {
	m := canvas.Meta{Title: f.Title, Description: f.Subtitle}
	for _, fact := range f.Facts {
		m.Facts = append(m.Facts, [2]string{fact.Name, fact.Value})
	}
	return m
}
