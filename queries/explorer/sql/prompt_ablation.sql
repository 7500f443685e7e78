-- name: prompt_ablation
-- title: Head {head}: prompt {example} with a component ablated
-- description: What the model does in one prompt when a component is taken away as it reaches the stream, all later layers responding.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
-- chart: table

SELECT a.component, a.method, a.place, a.own_score, a.score, a.own_diff, a.diff, a.own_prob, a.prob
FROM head_ablation AS a
WHERE a.run_id = coalesce($run, latest_run()) AND a.head = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
  AND a.example_id = $example
ORDER BY abs(a.own_score - a.score) DESC, a.component, a.method, a.place
