package worker

// A Point is a place in a job's way. Fault runs let a worker die at each of them, because what goes
// wrong between two steps shows only when it ends there.
type Point string

// The points, in the order in which a job passes them.
const (
	BeforeCall       Point = "before-call"
	AfterCall        Point = "after-call"
	MidLogin         Point = "mid-login" // the Web Server has answered a login or a renewal, and nothing has been sent since
	MidSplit         Point = "mid-split"
	BeforeResult     Point = "before-result"
	BeforeDeadLetter Point = "before-dead-letter"
	AfterResult      Point = "after-result"
	AfterAck         Point = "after-ack"
	MidDrain         Point = "mid-drain" // a job has been handed back, others are still in hand
)

// Points lists them.
var Points = []Point{BeforeCall, AfterCall, MidLogin, MidSplit, BeforeResult, BeforeDeadLetter, AfterResult, AfterAck, MidDrain}

func (w *Worker) reach(p Point) {
	if w.Reached != nil {
		w.Reached(p)
	}
}
