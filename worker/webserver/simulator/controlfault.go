package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// faultForm is a fault as the control address takes it.
type faultForm struct {
	Fault       string  `json:"fault"`
	Op          string  `json:"op"`
	Count       int     `json:"count"`
	Rate        float64 `json:"rate"`
	Applied     bool    `json:"applied"`
	WithOthers  bool    `json:"withOthers"`
	Status      int     `json:"status"`
	Seconds     int     `json:"seconds"`
	URL         string  `json:"url"`
	ContentType string  `json:"contentType"`
	Body        string  `json:"body"`
}

func (s *Server) makeFaults(w http.ResponseWriter, r *http.Request) {
	form := faultForm{Op: opLogoff, Count: 1, Status: http.StatusServiceUnavailable, Seconds: 5}
	if !read(w, r, &form) {
		return
	}
	fault, err := form.fault()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if form.Rate > 0 {
		s.FailAtRate(form.Rate, fault)
	} else {
		s.FailNextOn(form.Op, slices.Repeat([]Fault{fault}, form.Count)...)
	}
	reply(w, map[string]string{"fault": fault.String()})
}

func (f faultForm) fault() (Fault, error) {
	switch {
	case f.Status < 200 || f.Status > 599:
		return Fault{}, errors.New("status must be from 200 to 599")
	case f.Count < 1 || f.Count > 100_000:
		return Fault{}, errors.New("count must be from 1 to 100000")
	case f.Rate < 0 || f.Rate > 1 || (f.Rate > 0 && f.Op != opLogoff):
		return Fault{}, errors.New("rate must be from 0 to 1, and is for logoff only")
	case !slices.Contains(ops, f.Op):
		return Fault{}, fmt.Errorf("there is no kind of request %q", f.Op)
	}
	kinds := map[string]Fault{
		"status": Status(f.Status), "answer": Answer(f.Status, f.ContentType, f.Body), "throttle": Throttle(f.Seconds),
		"reset": Reset(false), "hang": Hang(false), "page": Page(), "empty": Empty(), "cutoff": CutOff(), "errorbody": ErrorBody(),
		"redirect": Redirect(f.URL), "slow": SlowBody(), "endless": EndlessBody(), "gzipbomb": GzipBomb(), "doctype": Doctype(), "generic500": Generic500(),
	}
	fault, ok := kinds[f.Fault]
	if !ok {
		return Fault{}, fmt.Errorf("there is no fault %q", f.Fault)
	}
	fault.applied, fault.withOthers = f.Applied, f.WithOthers
	return fault, nil
}
