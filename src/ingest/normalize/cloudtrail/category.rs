//! `event.category` and `event.type` of an action.

const AUTHENTICATION: &[&str] = &["authentication"];
const FILE: &[&str] = &["file"];
const IAM: &[&str] = &["iam"];
const INFO: &[&str] = &["info"];

/// Categories and types of `action`; an action without a category of its own is `info`.
///
/// Rules select on these values, so the list is the integration's: actions on users and groups,
/// making and removing buckets, sign-in and taking a role.
pub(super) fn of(action: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match action {
        "AssumeRole" | "ConsoleLogin" => (AUTHENTICATION, INFO),
        "CreateBucket" => (FILE, &["creation"]),
        "DeleteBucket" => (FILE, &["deletion"]),
        "CreateKeyPair" => (IAM, &["admin", "creation"]),
        "CreateGroup" => (IAM, &["group", "creation"]),
        "DeleteGroup" => (IAM, &["group", "deletion"]),
        "AddUserToGroup"
        | "AttachGroupPolicy"
        | "DeleteGroupPolicy"
        | "DetachGroupPolicy"
        | "PutGroupPolicy"
        | "RemoveUserFromGroup"
        | "UpdateGroup" => (IAM, &["group", "change"]),
        "GetGroup" | "GetGroupPolicy" | "ListAttachedGroupPolicies" | "ListGroupPolicies" | "ListGroups" => {
            (IAM, &["group", "info"])
        }
        "CreateUser" => (IAM, &["user", "creation"]),
        "DeleteUser" => (IAM, &["user", "deletion"]),
        "AttachUserPolicy"
        | "ChangePassword"
        | "CreateAccessKey"
        | "CreateVirtualMFADevice"
        | "DeactivateMFADevice"
        | "DeleteAccessKey"
        | "DeleteSSHPublicKey"
        | "DeleteUserPermissionsBoundary"
        | "DeleteUserPolicy"
        | "DeleteVirtualMFADevice"
        | "DetachUserPolicy"
        | "EnableMFADevice"
        | "PutUserPermissionsBoundary"
        | "PutUserPolicy"
        | "UpdateAccessKey"
        | "UpdateLoginProfile"
        | "UpdateSSHPublicKey"
        | "UpdateUser"
        | "UploadSSHPublicKey" => (IAM, &["user", "change"]),
        "GetUser"
        | "GetUserPolicy"
        | "ListAttachedUserPolicies"
        | "ListGroupsForUser"
        | "ListUserPolicies"
        | "ListUserTags"
        | "ListUsers" => (IAM, &["user", "info"]),
        _ => (&[], INFO),
    }
}
