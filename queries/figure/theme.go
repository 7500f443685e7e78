package figure

import (
	"fmt"
	"image/color"
	"strings"

	"ducklens/queries/figure/internal/palette"
)

// Theme is the look of a figure.
type Theme uint8

// The themes.
const (
	Paper  Theme = iota // black on white, with the small text of print
	Screen              // black on white, everything a quarter larger
	Dark                // light on a dark page, where a value of zero is dark too; as large as Screen
)

var themes = [...]string{"paper", "screen", "dark"}

// String returns the theme's name.
func (t Theme) String() string {
	if int(t) < len(themes) {
		return themes[t]
	}
	return fmt.Sprintf("Theme(%d)", uint8(t))
}

// ParseTheme is the inverse of [Theme.String].
func ParseTheme(s string) (Theme, error) {
	for i, name := range themes {
		if name == s {
			return Theme(i), nil
		}
	}
	return 0, optionsError("theme %q, want one of %s", s, strings.Join(themes[:], ", "))
}

// zoom returns the factor by which everything is larger than in print.
func (t Theme) zoom() float64 {
	if t == Paper {
		return 1
	}
	return 1.25
}

func (t Theme) colors() *palette.Palette {
	if t == Dark {
		return &palette.Dark
	}
	return &palette.Light
}

// Page returns the colour behind a figure, which is also the colour of a value of zero.
func (t Theme) Page() color.NRGBA { return t.colors().Page }

// Ink returns the colour of text.
func (t Theme) Ink() color.NRGBA { return t.colors().Text }

// Diverging returns the colour of a signed value that is x times the limit of its scale: red above zero, blue
// below.
func (t Theme) Diverging(x float64) color.NRGBA { return t.colors().Diverging(x) }

// Category returns the fill colour of series or category i of a legend, and the colour of its thin lines.
func (t Theme) Category(i int) (fill, line color.NRGBA) {
	return t.colors().Category(i), t.colors().CategoryLine(i)
}
