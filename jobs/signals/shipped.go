package signals

// ShippedRecipes are for bodies of products that cannot be asked to write another. An issuers file may refer to them by
// name, and say otherwise of any part.
func ShippedRecipes() []Recipe {
	return []Recipe{
		{ // Okta's event hooks: several events a call; the target is who it is about, and the actor who did it.
			Name: "okta-hook",
			Each: "/data/events/*", When: map[string][]string{"/eventType": {"user.lifecycle.deactivate", "user.lifecycle.suspend", "user.session.clear"}},
			Users: "/target/*", UserWhen: map[string][]string{"/type": {"User"}},
			User: Template{Text: "email:{/alternateId}"}, Time: "/published",
		},
		{ // Splunk's webhook alert action: the first row of a search, whose column user is who it is about.
			Name: "splunk", User: Template{Text: "name:{/result/user}"},
		},
		{ // Microsoft Graph by Azure Event Grid. It knows the object ID alone: User is to be map:FILE{/data/resourceData/id}.
			Name: "graph", CloudEvent: "Microsoft.Graph.UserDeleted", Time: "/time", Newer: true,
		},
		{ // Auth0's event streams.
			Name: "auth0", CloudEvent: "user.deleted", User: Template{Text: "email:{/data/object/email}"}, Time: "/time", Newer: true,
		},
	}
}
