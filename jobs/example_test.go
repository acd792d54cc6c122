package jobs_test

import (
	"fmt"

	"logoffworker/jobs"
)

func ExampleDecode() {
	job, err := jobs.Decode([]byte(`{
		"sessions": ["EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF", {"id": "CF1C660B-396F-44B7-86DA-5608CEC97453", "userId": 42}],
		"reason": "credential compromise"
	}`), jobs.Rules{})
	fmt.Println(job.Sessions[0].ID, job.Sessions[1].UserID, job.Reason, err)

	_, err = jobs.Decode([]byte(`{"sessions": ["everybody"]}`), jobs.Rules{})
	fmt.Println(err)

	_, err = jobs.Decode([]byte(`{"sessions": [], "sessions": ["EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"]}`), jobs.Rules{})
	fmt.Println(err)
	// Output:
	// EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF 42 credential compromise <nil>
	// at /sessions/0: "everybody" is no session ID; a GUID is accepted, with or without EMC before it
	// at /sessions: the member is there twice
}
