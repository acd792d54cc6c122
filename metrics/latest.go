package metrics

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"logoffworker/jobs"
)

// latestJobs is how many jobs that succeeded are remembered, and as many of the others.
const latestJobs = 10

// A FinishedJob is what may be shown of a job: whom and what it names is counted, and not told.
type FinishedJob struct {
	ID        string      `json:"id"`
	Publisher string      `json:"publisher,omitzero"`
	Lane      jobs.Lane   `json:"lane"`
	Status    jobs.Status `json:"status"`
	Sessions  int         `json:"sessions,omitzero"`
	People    int         `json:"people,omitzero"`
	Stored    time.Time   `json:"stored"`   // in the stream
	Finished  time.Time   `json:"finished"` // had its last answer
}

// finished is what may be shown of a job.
func (j SettledJob) finished() FinishedJob {
	return FinishedJob{
		ID: j.ID, Publisher: j.Publisher, Lane: j.Lane, Status: j.Status,
		Sessions: len(j.Sessions), People: len(j.Users), Stored: j.Stored, Finished: j.Stored.Add(max(0, j.Took)),
	}
}

// recent are the last jobs of those that were added.
type recent struct {
	jobs [latestJobs]FinishedJob
	n    int // how many were added
}

func (r *recent) add(j FinishedJob) {
	r.jobs[r.n%latestJobs] = j
	r.n++
}

// all are the jobs in the order in which they were added.
func (r *recent) all() (list []FinishedJob) {
	for i := max(0, r.n-latestJobs); i < r.n; i++ {
		list = append(list, r.jobs[i%latestJobs])
	}
	return list
}

// latest are the jobs that were settled last. Those that failed are not pushed out by those that succeeded.
type latest struct {
	mu             sync.Mutex
	successes, not recent
}

func (l *latest) add(settled map[bool]*recent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for success, list := range map[bool]*recent{true: &l.successes, false: &l.not} {
		if more := settled[success]; more != nil {
			for _, j := range more.all() {
				list.add(j)
			}
		}
	}
}

// Latest are the jobs that this worker settled last, the latest first.
func (m *Metrics) Latest() []FinishedJob {
	m.latest.mu.Lock()
	defer m.latest.mu.Unlock()
	all := slices.Concat(m.latest.successes.all(), m.latest.not.all())
	slices.SortFunc(all, func(a, b FinishedJob) int {
		return cmp.Or(b.Finished.Compare(a.Finished), cmp.Compare(a.ID, b.ID))
	})
	return all
}
