package decompose

import "ducklens/engine/blas"

// table is a small row-major matrix whose rows are stride apart.
type table struct {
	numbers []float64
	stride  int
}

func (t table) row(i int) []float64 { return t.numbers[i*t.stride : (i+1)*t.stride] }

// products gives X G^T [rows, len(columns)], X being [rows, d] and each of at least one column [d]. Every entry is one chain
// of float64 sums in the order of d, whatever the number of rows or columns. Two rows meet four columns at a
// time: eight sums stay in registers, and the processor need not wait for one to add to the next.
func products[T blas.Float](x []T, d int, columns [][]float64) table {
	rows := len(x) / d
	padded := append([][]float64(nil), columns...)
	for len(padded)%4 != 0 {
		padded = append(padded, columns[0]) // computed, never read
	}
	out := table{make([]float64, rows*len(padded)), len(padded)}
	for j := 0; j < len(padded); j += 4 {
		g0, g1, g2, g3 := padded[j][:d], padded[j+1][:d], padded[j+2][:d], padded[j+3][:d]
		for r := 0; r < rows; r += 2 {
			s := min(r+1, rows-1) // the last of an odd number of rows is computed twice
			xa, xb := x[r*d:(r+1)*d], x[s*d : (s+1)*d][:d]
			var a0, a1, a2, a3, b0, b1, b2, b3 float64
			for i, v := range xa {
				a, b := float64(v), float64(xb[i])
				p0, p1, p2, p3 := g0[i], g1[i], g2[i], g3[i]
				a0 += a * p0
				a1 += a * p1
				a2 += a * p2
				a3 += a * p3
				b0 += b * p0
				b1 += b * p1
				b2 += b * p2
				b3 += b * p3
			}
			oa, ob := out.row(r)[j:j+4], out.row(s)[j:j+4]
			ob[0], ob[1], ob[2], ob[3] = b0, b1, b2, b3
			oa[0], oa[1], oa[2], oa[3] = a0, a1, a2, a3
		}
	}
	return out
}
