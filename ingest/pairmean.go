package ingest

import (
	"ducklens/engine"
	"ducklens/schema"
)

// Means of pairs are accumulated during the run if the moments of all target heads fit into maxMeanBytes. A
// dozen heads of GPT-2 small with the default bases take 85 MB. One head of a model with 590 components below
// it reaches the bound. In the file, the rows of the means take about two thirds of that. For larger models
// they would outweigh everything else in a run of some hundred prompts, although few people look at more than
// the largest of a million pairs. Such runs store no means; readers compute them from the factors.
const (
	maxMeanBytes   = 100_000_000
	meanPlaceBytes = 4 * 8 // mean and sum of squares, of score and of score - baseline
)

// keepsMeans reports whether a run has rows in pair_mean_wide.
func keepsMeans(run *schema.Run) bool {
	if !run.Factors && !run.Pairs {
		return false
	}
	places := 4 * countSplits(run.Bases)
	if run.Factors || places == 0 {
		places++ // the pair of whole vectors
	}
	bytes := 0
	for _, h := range run.Heads {
		rows := sideRows(run, h.Head)
		bytes += rows * rows * places * meanPlaceBytes
	}
	return bytes <= maxMeanBytes
}

// appendPairMeans appends the means of a run after its last example.
func (w *writer) appendPairMeans(tables *appenders) error {
	for _, head := range w.run.Heads {
		for _, m := range w.means.Of(head.Head) {
			if err := w.appendPairMean(tables, w.headID(head.Head), m); err != nil {
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
		query, key := m.QueryComponents[i/len(m.KeyComponents)], m.KeyComponents[i%len(m.KeyComponents)]
		table.PutInt32(w.runID(), head, w.componentID(query), w.componentID(key), int32(m.QueryBasis),
			int32(m.KeyBasis), int32(n), int32(nBaseline))
		score, diff := m.Entry(i)
		table.PutNullable(score[:]...)
		table.PutNullable(diff[:]...)
		if err := table.EndRow(); err != nil {
			return err
		}
	}
	return nil
}
