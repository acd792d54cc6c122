package worker

import (
	"slices"
	"testing"

	"logoffworker/worker/webserver"
)

func documentOf(n int) (doc document) {
	for range n {
		doc = append(doc, &session{})
	}
	return doc
}

// sizes are how many sessions the documents hold that are still to be sent, the next first.
func (s *splitting) sizes() (sizes []int) {
	for _, doc := range slices.Backward(s.rest) {
		sizes = append(sizes, len(doc))
	}
	return sizes
}

// What follows from an answer, and what is sent next.
func TestStepsOfASplitting(t *testing.T) {
	refused, undecided := &webserver.Error{Verdict: webserver.Refused}, &webserver.Error{Verdict: webserver.Undecided}
	type answer struct {
		problem *webserver.Error
		scope   scope
		step    step
		left    []int // the sizes of what is sent next
	}
	for name, test := range map[string]struct {
		sessions int
		answers  []answer
	}{
		"accepted":   {4, []answer{{nil, 0, accepted, nil}}},
		"nobody's":   {0, []answer{{nil, 0, nothing, nil}}},
		"one fails":  {1, []answer{{refused, itself, failed, nil}}},
		"no verdict": {1, []answer{{undecided, itself, again, []int{1}}, {undecided, itself, again, []int{1}}, {undecided, itself, failed, nil}}},
		"refused in the end": {1, []answer{
			{undecided, itself, again, []int{1}}, {refused, itself, failed, nil},
		}},
		"halved": {4, []answer{
			{refused, itself, divided, []int{2, 2}},
			{nil, 0, accepted, []int{2}},
			{refused, itself, divided, []int{1, 1}},
			{nil, 0, accepted, []int{1}},
			{refused, itself, failed, nil},
		}},
		"tries in larger documents count": {2, []answer{
			{undecided, itself, divided, []int{1, 1}}, {undecided, itself, again, []int{1, 1}}, {undecided, itself, failed, []int{1}},
		}},
		"taken to pieces after many": {4, []answer{
			{refused, itself, divided, []int{2, 2}},
			{refused, itself, divided, []int{1, 1, 2}},
			{refused, itself, failed, []int{1, 2}},
			{refused, itself, failed, []int{2}},
			{refused, itself, divided, []int{1, 1}},
		}},
		"unclear alone waits for the others": {2, []answer{
			{refused, unclear, divided, []int{1, 1}},
			{refused, unclear, deferred, []int{1, 1}},
			{nil, 0, accepted, []int{1}},
			{refused, itself, failed, nil},
		}},
		"others are not halved while one waits": {4, []answer{
			{refused, unclear, divided, []int{2, 2}},
			{refused, unclear, divided, []int{1, 1, 2}},
			{refused, unclear, deferred, []int{1, 2, 1}},
			{nil, 0, accepted, []int{2, 1}},
			{refused, unclear, divided, []int{1, 1, 1}},
		}},
		"all wait": {4, []answer{
			{refused, unclear, divided, []int{2, 2}},
			{refused, unclear, divided, []int{1, 1, 2}},
			{refused, unclear, deferred, []int{1, 2, 1}},
			{refused, unclear, deferred, []int{2, 1, 1}},
			{refused, unclear, deferred, []int{1, 1, 2}},
		}},
		"its own word ends the wait": {5, []answer{
			{refused, unclear, divided, []int{2, 3}},
			{refused, unclear, divided, []int{1, 1, 3}},
			{refused, unclear, deferred, []int{1, 3, 1}},
			{refused, itself, failed, []int{3, 1}},
			{refused, unclear, divided, []int{1, 1, 1, 1}},
		}},
	} {
		s := newSplitting(documentOf(test.sessions), 3)
		for i, a := range test.answers {
			if !s.more() {
				t.Errorf("%s: nothing is sent after %d answers", name, i)
				break
			}
			step := s.answered(s.next(), reply{problem: a.problem, scope: a.scope})
			if step != a.step || !slices.Equal(s.sizes(), a.left) {
				t.Errorf("%s, answer %d: step %d and %v are left, want %d and %v", name, i, step, s.sizes(), a.step, a.left)
				break
			}
		}
	}
}
