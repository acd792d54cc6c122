// Package schema holds the formal contract of jobs and results (jobs/schema, jobs/asyncapi.yaml) to the code: what
// fits the schema of a job is worked as a whole, and what a worker writes fits the schemas. The lines that publish the
// samples are run where their programs are (make schema-check).
package schema
