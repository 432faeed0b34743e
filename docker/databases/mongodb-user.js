// Once, on an empty volume: the service's user, with the password of its URL.

const [, user, password] = fs.readFileSync('/run/secrets/motor_url', 'utf8').match('//([^:]+):([^@]+)@');
// kept in the database that its URL names as authSource
db.getSiblingDB('motor').createUser({ user, pwd: password, roles: [{ role: 'dbOwner', db: 'motor' }] });
