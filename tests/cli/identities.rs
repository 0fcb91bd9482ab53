//! `seawall identity`, `service-principal` and `role`: the commands of `az` around the registry (S1-39, S4-12, S4-16).

use serde_json::{Value, json};

use crate::arm::id;
use crate::harness::{Reply, Transcript};

const ALL: &str = "/subscriptions/00000000-0000-0000-0000-000000000000";
const PRINCIPAL: &str = "11111111-1111-4111-8111-111111111111";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const TENANT: &str = "33333333-3333-4333-8333-333333333333";
const PATH: &str = "/seawall/v1/servicePrincipals";

fn identities(rest: &str) -> String {
    format!("{ALL}/resourceGroups/seawall/providers/Microsoft.ManagedIdentity/userAssignedIdentities{rest}")
}

fn authorization(scope: &str, rest: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/{rest}")
}

fn identity(name: &str) -> Value {
    json!({
        "id": identities(&format!("/{name}")),
        "name": name,
        "location": "local",
        "tags": {},
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "properties": {
            "tenantId": TENANT,
            "principalId": PRINCIPAL,
            "clientId": CLIENT,
            "identityType": "UserAssigned",
            "matches": [],
            "status": "enabled",
            "creationDate": "2026-10-22T00:15:34.304892+00:00"
        }
    })
}

fn service_principal(name: &str, secrets: &[Value]) -> Value {
    json!({
        "id": format!("{PATH}/{name}"),
        "name": name,
        "type": "Seawall/servicePrincipals",
        "tags": {},
        "properties": {
            "clientId": CLIENT,
            "principalId": PRINCIPAL,
            "tenantId": TENANT,
            "status": "enabled",
            "matches": [],
            "credentials": secrets,
            "creationDate": "2026-10-22T00:15:34.304892+00:00"
        }
    })
}

fn assignment(scope: &str, name: &str, who: &str, role: &str) -> Value {
    json!({
        "id": authorization(scope, &format!("roleAssignments/{name}")),
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": definition(role)["id"],
            "principalId": if who == "other" { CLIENT } else { PRINCIPAL },
            "principalType": "ServicePrincipal",
            "scope": scope,
            "description": null,
            "createdOn": "2026-10-22T00:15:34.304892+00:00",
            "createdBy": "owner",
            "condition": null,
            "principalName": who,
            "roleDefinitionName": role,
        }
    })
}

fn definition(role: &str) -> Value {
    let name = match role {
        "Owner" => "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        _ => "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    };
    json!({
        "id": authorization(ALL, &format!("roleDefinitions/{name}")),
        "name": name,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": role, "type": "BuiltInRole", "description": format!("What {role} is for."),
            "assignableScopes": ["/"],
            "permissions": [{ "actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": [] }]
        }
    })
}

fn list(values: &[Value]) -> Reply {
    Reply::json(200, json!({ "value": values }))
}

/// Whom and what commands look up.
fn known(told: &Transcript) {
    told.server.on("GET", &identities(""), list(&[identity("myACRTasksId")]));
    told.server.on("GET", PATH, list(&[service_principal("deployer", &[])]));
    let roles = [definition("Owner"), definition("AcrPull")];
    told.server.on("GET", &authorization(ALL, "roleDefinitions"), list(&roles));
}

/// S4-12: the three ids, as the seed takes them.
#[test]
fn an_identity_is_printed_in_the_shape_of_az() {
    let mut told = Transcript::new();
    told.server.on("PUT", &identities("/myACRTasksId"), Reply::json(201, identity("myACRTasksId")));
    told.server.on("GET", &identities("/myACRTasksId"), Reply::json(200, identity("myACRTasksId")));
    told.server.on("PATCH", &identities("/myACRTasksId"), Reply::json(200, identity("myACRTasksId")));
    told.server.on("DELETE", &identities("/myACRTasksId"), Reply::empty(200));
    told.server.on("DELETE", &identities("/nobody"), Reply::empty(204));
    told.server.on("GET", &identities(""), list(&[identity("myACRTasksId")]));
    told.run("identity create --resource-group seawall --name myACRTasksId");
    told.run("identity show --resource-group seawall --name myACRTasksId --query id --output tsv");
    told.run("identity show --resource-group seawall --name myACRTasksId --query principalId --output tsv");
    told.run("identity show --resource-group seawall --name myACRTasksId --query clientId --output tsv");
    told.run("identity list -o table");
    told.run("identity create -n myACRTasksId --type user --match provider=corp,sub=alice 'provider=corp,sub=*' --tags team=a -o none");
    told.run("identity create -n myACRTasksId --match 'sub=alice'");
    told.run("identity create -n myACRTasksId --type ServicePrincipal");
    told.run("identity update -n myACRTasksId --status disabled -o none");
    told.run("identity update -n myACRTasksId");
    told.run("identity delete -n myACRTasksId");
    told.run("identity delete -n nobody");
    told.check("identities");
}

/// S1-6: a secret for a year, which is shown once.
#[test]
fn a_service_principal_is_printed_as_az_prints_it() {
    let mut told = Transcript::new();
    known(&told);
    let secrets = [json!({
        "name": "password1", "creationTime": "2026-10-22T00:15:52.837651+00:00",
        "expiry": "2027-10-22T00:15:52.837651+00:00", "lastUsedTime": "2026-10-23T00:00:00.000000+00:00"
    })];
    let made =
        json!({ "clientId": CLIENT, "tenantId": TENANT, "name": "password1", "value": "the-secret", "expiry": null });
    told.server.on("PUT", &format!("{PATH}/deployer"), Reply::json(201, service_principal("deployer", &[])));
    told.server.on("PUT", &format!("{PATH}/deployer"), Reply::json(200, service_principal("deployer", &secrets)));
    told.server.on("POST", &format!("{PATH}/deployer/credentials"), Reply::json(200, made));
    told.server.on("GET", &format!("{PATH}/deployer"), Reply::json(200, service_principal("deployer", &secrets)));
    told.server.on("PATCH", &format!("{PATH}/deployer"), Reply::json(200, service_principal("deployer", &secrets)));
    told.server.on("DELETE", &format!("{PATH}/deployer"), Reply::empty(200));
    told.server.on("DELETE", &format!("{PATH}/deployer/credentials/password1"), Reply::empty(200));
    told.run("service-principal create -n deployer");
    told.run("service-principal create -n deployer --years 4 --only-show-errors -o table");
    told.run("service-principal create -n deployer --role acrpull");
    told.run(&format!("service-principal create -n deployer --role nothing --scopes {ALL}"));
    told.run("service-principal show -n deployer");
    told.run("service-principal list -o table");
    told.run("service-principal credential reset -n deployer --append --query password -o tsv");
    told.run("service-principal credential list -n deployer");
    told.run("service-principal credential list -n deployer -o table");
    told.run("service-principal credential delete -n deployer --key-id password1");
    told.run("service-principal update -n deployer --status disabled -o none");
    told.run("service-principal delete -n deployer");
    told.check("service-principals");
}

#[test]
fn a_secret_that_a_provider_verifies_is_not_printed() {
    let mut told = Transcript::new();
    let mut made = service_principal("deployer", &[]);
    made["properties"]["matches"] = json!([{ "provider": "corp", "claims": { "azp": CLIENT } }]);
    made["properties"]["verifiedBy"] = json!("corp");
    told.server.on("PUT", &format!("{PATH}/deployer"), Reply::json(201, made.clone()));
    told.server.on("PATCH", &format!("{PATH}/deployer"), Reply::json(200, made));
    let create = format!("service-principal create -n deployer --verified-by corp --client-id {CLIENT}");
    told.run(&format!("{create} --match provider=corp,azp={CLIENT}"));
    told.run(&format!("{create} --years 2"));
    told.run(&format!("service-principal create -n deployer --client-id {CLIENT}"));
    told.run("service-principal update -n deployer --verified-by corp -o none");
    told.check("service-principal-verified-by");
}

/// S4-16: the assignee by any of its names, the role in any case.
#[test]
fn a_role_is_assigned_in_the_words_of_az() {
    let mut told = Transcript::new();
    known(&told);
    let scope = id("");
    // The name follows from what is assigned to whom.
    told.server.any(
        "PUT",
        "roleAssignments/",
        Reply::json(201, assignment(&scope, "first", "myACRTasksId", "AcrPull")),
    );
    told.run(&format!("role assignment create --assignee {PRINCIPAL} --scope {scope} --role acrpull"));
    told.run("role assignment create --assignee myACRTasksId --registry myregistry --role ACRPull -o none");
    told.run(&format!(
        "role assignment create --assignee {CLIENT} --scope {ALL}/resourceGroups/any --role Owner -o none"
    ));
    told.run(&format!("role assignment create --assignee {} -r myregistry --role AcrPull --repository base/* team/app --description 'base images' -o none", identities("/myACRTasksId")));
    told.run("role assignment create --assignee deployer -r myregistry --scope-map MyScopeMap -o table");
    told.run("role assignment create --assignee nobody -r myregistry --role AcrPull");
    told.run("role assignment create --assignee deployer -r myregistry --role AcrPul");
    told.run("role assignment create --assignee deployer --role AcrPull");
    told.run("role assignment create --assignee deployer -r myregistry");
    told.run("role assignment create --assignee deployer --scope myregistry --role AcrPull");
    told.check("role-assignment-create");
}

#[test]
fn what_is_assigned_already_is_printed() {
    let mut told = Transcript::new();
    known(&told);
    let scope = id("");
    let exists = Reply::error(409, "RoleAssignmentExists", "The role assignment already exists.");
    told.server.any("PUT", "roleAssignments/", exists);
    let all =
        [assignment(ALL, "above", "myACRTasksId", "AcrPull"), assignment(&scope, "here", "myACRTasksId", "AcrPull")];
    told.server.on("GET", &authorization(&scope, "roleAssignments"), list(&all));
    told.run("role assignment create --assignee myACRTasksId -r myregistry --role acrpull --query name -o tsv");
    told.run("role assignment create --assignee myACRTasksId -r myregistry --role owner --query name -o tsv");
    told.check("role-assignment-exists");
}

/// An owner of one registry may not see who there is.
#[test]
fn a_principal_id_need_not_be_looked_up() {
    let mut told = Transcript::new();
    let forbidden = Reply::error(403, "AuthorizationFailed", "The client 'jane' does not have authorization.");
    told.server.on("GET", &identities(""), forbidden);
    let roles = [definition("Owner"), definition("AcrPull")];
    told.server.on("GET", &authorization(ALL, "roleDefinitions"), list(&roles));
    let made = assignment(&id(""), "first", "myACRTasksId", "AcrPull");
    told.server.any("PUT", "roleAssignments/", Reply::json(201, made));
    told.run(&format!("role assignment create --assignee {PRINCIPAL} -r myregistry --role AcrPull -o none"));
    told.run("role assignment create --assignee myACRTasksId -r myregistry --role AcrPull -o none");
    told.check("role-assignment-unseen");
}

#[test]
fn assignments_are_listed_and_deleted() {
    let mut told = Transcript::new();
    known(&told);
    let scope = id("");
    let mut confined = assignment(&scope, "confined", "other", "AcrPull");
    confined["properties"]["repositories"] = json!(["base/*", "team/app"]);
    let [above, here] =
        [assignment(ALL, "above", "myACRTasksId", "Owner"), assignment(&scope, "here", "myACRTasksId", "AcrPull")];
    told.server.on(
        "GET",
        &authorization(&scope, "roleAssignments"),
        list(&[above.clone(), here.clone(), confined.clone()]),
    );
    told.server.on("GET", &authorization(ALL, "roleAssignments"), list(&[above, here, confined]));
    for path in [authorization(&scope, "roleAssignments/here"), authorization(&scope, "roleAssignments/confined")] {
        told.server.on("DELETE", &path, Reply::empty(200));
    }
    told.run("role assignment list -o table");
    told.run("role assignment list --role AcrPull -o table");
    told.run("role assignment list --all -o table");
    told.run("role assignment list -r myregistry -o table");
    told.run("role assignment list -r myregistry --include-inherited --assignee myACRTasksId --query '[].name' -o tsv");
    told.run(&format!("role assignment list --scope {scope} --role acrpull --assignee myACRTasksId"));
    told.run("role assignment delete --assignee myACRTasksId --role AcrPull -r myregistry");
    told.run("role assignment delete --assignee myACRTasksId --role AcrPull");
    told.run(&format!("role assignment delete --ids {}", authorization(&scope, "roleAssignments/confined")));
    told.run("role assignment delete");
    told.run("role assignment delete --ids here");
    told.run("role definition list -o table");
    told.run("role definition list --name ACRPULL");
    told.check("role-assignments");
}
