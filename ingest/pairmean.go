package ingest

import "ducklens/engine"

// appendPairMeans appends the means of a run that has all its examples.
func (w *writer) appendPairMeans(tables *appenders) error {
	for _, head := range w.opts.Engine.Heads() {
		for _, m := range w.means.Of(head) {
			if err := w.appendPairMean(tables, w.headID(head), m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) appendPairMean(tables *appenders, head int32, m *engine.PairMean) error {
	table, err := tables.table(tablePairMean)
	if err != nil {
		return err
	}
	n, nBaseline := m.N()
	for i := range len(m.QueryComponents) * len(m.KeyComponents) {
		table.PutInt32(w.runID(), head, w.componentID(m.QueryComponents[i/len(m.KeyComponents)]), w.componentID(m.KeyComponents[i%len(m.KeyComponents)]),
			int32(m.QueryBasis), int32(m.KeyBasis), int32(n), int32(nBaseline))
		score, diff := m.Entry(i)
		table.PutNullable(score[:]...)
		table.PutNullable(diff[:]...)
		if err := table.EndRow(); err != nil {
			return err
		}
	}
	return nil
}
