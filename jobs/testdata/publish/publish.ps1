# With PowerShell, to a receiver (LOGOFF_RECEIVER_ADDR). RECEIVER is its URL, TOKEN the bearer of one of its publishers.
$ErrorActionPreference = 'Stop'
function Publish-Job($Sample, $Type, $More = @{}) {
    $Headers = @{ Authorization = "Bearer $env:TOKEN" } + $More
    # -InFile sends the bytes as they are. After 429 and 503, post again; 202 says that the job is stored.
    Invoke-RestMethod -Method Post -Uri "$env:RECEIVER/v1/jobs" -Headers $Headers -ContentType $Type -InFile $Sample
}
$Binary = @{ 'ce-specversion' = '1.0'; 'ce-type' = 'logoff.job.v1'; 'ce-source' = '/soar/case/17'; 'ce-id' = '17' }
Publish-Job job.json application/json
Publish-Job job-users.json application/json
Publish-Job job.xml application/xml
Publish-Job job.txt text/plain
Publish-Job job-cloudevent.json application/cloudevents+json
Publish-Job job-users.json application/json $Binary
Publish-Job job.jwt application/secevent+jwt
