// The healthcheck: 0 once this member is the primary of its replica set, which it founds the first time.

const password = fs.readFileSync('/run/secrets/mongodb_password', 'utf8').trim();
const admin = connect(`mongodb://root:${password}@127.0.0.1/admin?directConnection=true&serverSelectionTimeoutMS=2000`);
try {
  admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.codeName !== 'NotYetInitialized') throw error;
  admin.adminCommand({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: 'mongodb:27017' }] } });
}
quit(admin.hello().isWritablePrimary ? 0 : 1);
