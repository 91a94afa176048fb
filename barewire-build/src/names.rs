//! The names that prost does not choose: the modules of services, and methods that would have the same name.

use std::collections::{BTreeMap, BTreeSet};

use prost_build::Module;
use prost_types::FileDescriptorProto;

use crate::error::Error;
use crate::sources::{Sources, place_of};

/// The numbers of the fields `service` in a `FileDescriptorProto` and `method` in a `ServiceDescriptorProto`.
const SERVICE: i32 = 6;
const METHOD: i32 = 2;

/// The methods of a generated client that are not RPCs, and `clone`, which every client has.
const TAKEN: [&str; 3] = ["clone", "new", "with"];

/// The modules of services, by package and service.
pub(crate) type ServiceModules = BTreeMap<(String, String), String>;

/// Returns a module for each service: its name in snake case, with `_service` behind it where a message or a package inside this
/// one has a module with that name.
pub(crate) fn service_modules(files: &[FileDescriptorProto]) -> ServiceModules {
    let mut taken: BTreeMap<Module, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let package = Module::from_protobuf_package_name(file.package());
        let parts: Vec<&str> = package.parts().collect();
        for length in 0..parts.len() {
            let outer = Module::from_parts(parts[..length].iter().copied());
            taken.entry(outer).or_default().insert(parts[length].to_owned());
        }
        let messages = file.message_type.iter().map(|message| snake(message.name()));
        taken.entry(package).or_default().extend(messages);
    }
    let mut modules = ServiceModules::new();
    for file in files {
        let taken = taken.entry(Module::from_protobuf_package_name(file.package())).or_default();
        for service in &file.service {
            let mut module = snake(service.name());
            while taken.contains(&module) {
                module = format!("{}_service", module.trim_start_matches("r#"));
            }
            taken.insert(module.clone());
            modules.insert((file.package().to_owned(), service.name().to_owned()), module);
        }
    }
    modules
}

/// Refuses a service in which two methods have the same name in Rust.
pub(crate) fn check_methods(sources: &Sources, files: &[FileDescriptorProto]) -> Result<(), Error> {
    for file in files {
        for (service, number) in file.service.iter().zip(0..) {
            let mut names: BTreeMap<String, &str> = BTreeMap::new();
            for (method, place) in service.method.iter().zip(0..) {
                let name = snake(method.name());
                if let Some(other) = names.insert(name.clone(), method.name()) {
                    let (service, method) = (service.name(), method.name());
                    let message =
                        format!("{service} has the methods {other} and {method}, which are both {name} in Rust");
                    let place = place_of(file, &[SERVICE, number, METHOD, place]);
                    return Err(Error::new(message).in_file(sources.path(file.name())).at(place));
                }
            }
        }
    }
    Ok(())
}

/// Returns the name of a method in a client and a trait, from prost's name for it.
pub(crate) fn method(name: &str) -> String {
    match TAKEN.contains(&name) {
        true => format!("{name}_"),
        false => name.to_owned(),
    }
}

/// Returns the name of a method's constant, from prost's name for the method.
pub(crate) fn constant(name: &str) -> String {
    name.trim_start_matches("r#").to_ascii_uppercase()
}

/// Returns a name in snake case, as prost writes it.
fn snake(name: &str) -> String {
    Module::from_protobuf_package_name(name).parts().collect()
}
