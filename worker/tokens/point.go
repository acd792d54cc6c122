package tokens

// A Point is a place in a renewal's way. Tests let a replica die at each.
type Point string

// The points, in the order in which a renewal passes them.
const (
	BeforeIntent Point = "before-intent"
	AfterIntent  Point = "after-intent" // stored: from now on nobody else presents the pair
	AfterCall    Point = "after-call"   // the new pair is nowhere but in memory
	AfterStore   Point = "after-store"
)

// Points lists them.
var Points = []Point{BeforeIntent, AfterIntent, AfterCall, AfterStore}

func (k *Keeper) reach(p Point) {
	if k.c.Reached != nil {
		k.c.Reached(p)
	}
}
