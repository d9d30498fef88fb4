//! Images: by id and by reference.

use bollard::query_parameters as query;

use super::call::{CHANGE, absent, checked};
use super::{Docker, raw, read};
use crate::engine::{EngineError, EngineImage};

pub(super) async fn image(
    docker: &Docker,
    reference: &str,
) -> Result<Option<EngineImage>, EngineError> {
    let action = format!("show image `{reference}`");
    let reference = checked(&action, reference)?;
    let found = raw::get(docker, &action, &format!("/images/{reference}/json")).await?;
    Ok(found.as_ref().and_then(read::image))
}

pub(super) async fn images(
    docker: &Docker,
    pattern: &str,
) -> Result<Vec<EngineImage>, EngineError> {
    let path = format!("/images/json?{}", raw::filter("reference", pattern));
    let listed = raw::get(docker, "list images", &path).await?;
    let mut images = Vec::new();
    for id in listed.iter().flat_map(read::ids) {
        images.extend(image(docker, &id).await?);
    }
    Ok(images)
}

pub(super) async fn tag(docker: &Docker, id: &str, reference: &str) -> Result<(), EngineError> {
    let action = format!("tag image `{id}` as `{reference}`");
    let id = checked(&action, id)?;
    let (repo, tag) = split_reference(checked(&action, reference)?);
    let options = query::TagImageOptions {
        repo: Some(repo.to_owned()),
        tag: tag.map(str::to_owned),
    };
    docker
        .call(&action, CHANGE, docker.client.tag_image(id, Some(options)))
        .await
}

pub(super) async fn untag(docker: &Docker, reference: &str) -> Result<(), EngineError> {
    let action = format!("remove image reference `{reference}`");
    let name = checked(&action, reference)?;
    let request = docker
        .client
        .remove_image(name, None::<query::RemoveImageOptions>, None);
    match absent(docker.call(&action, CHANGE, request).await) {
        Ok(_) => Ok(()),
        // In use: the reference may be gone all the same.
        Err(
            error @ EngineError::Refused {
                status: Some(409), ..
            },
        ) => match image(docker, reference).await? {
            None => Ok(()),
            Some(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Splits `repo:tag`; a colon before a slash belongs to a registry's port.
fn split_reference(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        Some((repo, tag)) if !tag.contains('/') => (repo, Some(tag)),
        _ => (reference, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_port_is_not_a_tag() {
        assert_eq!(split_reference("a/b:1"), ("a/b", Some("1")));
        assert_eq!(split_reference("h:5000/b"), ("h:5000/b", None));
        assert_eq!(split_reference("h:5000/b:1"), ("h:5000/b", Some("1")));
    }
}
